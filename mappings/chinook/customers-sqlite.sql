-- One row for each customer, in the columns that `customers.toml` reads.
select CustomerId, FirstName, LastName, Email, Company, Country
from Customer
order by CustomerId
