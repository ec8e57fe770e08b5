-- One row for each track that was bought: how many, by whom and when.
select invoice_line_id as usage_id, invoice_id, customer_id, quantity, invoice_date as occurred_at
from invoice_line
join invoice using (invoice_id)
order by invoice_line_id
